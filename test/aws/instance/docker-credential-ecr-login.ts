#!/usr/bin/env node
/**
 * Amazon's credential helper: `get` with a registry's name on its input, a login on its output, from ECR's API.
 * https://github.com/awslabs/amazon-ecr-credential-helper
 */
const answer = await fetch(process.env.AWS_ENDPOINT_URL!, {
  method: 'POST',
  headers: {
    'content-type': 'application/x-amz-json-1.1',
    'x-amz-target': 'AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken',
    authorization: `AWS4-HMAC-SHA256 Credential=instance/20260101/${process.env.AWS_REGION}/ecr/aws4_request`,
  },
  body: '{}',
});
const { authorizationData } = (await answer.json()) as {
  authorizationData: { authorizationToken: string }[];
};
const [Username, Secret] = Buffer.from(authorizationData[0]!.authorizationToken, 'base64')
  .toString()
  .split(':');
console.log(JSON.stringify({ Username, Secret }));
