/** What a deployment keeps: the control API's table and two secrets, and a bucket. All of it ends with the deployment. */
import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';

const secretLength = 64;

export class ControlState extends Construct {
  readonly table: dynamodb.Table;
  /** For bundles of runs, and for content that seeds fetch by signed addresses. */
  readonly bundles: s3.Bucket;
  /** `{"token": …}`: who has it may do everything. */
  readonly adminToken: secretsmanager.Secret;
  /** `{"seed": …}`: the keys of the control API are derived from it. */
  readonly identity: secretsmanager.Secret;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.table = new dynamodb.Table(this, 'Table', {
      partitionKey: { name: 'pk', type: dynamodb.AttributeType.STRING },
      sortKey: { name: 'sk', type: dynamodb.AttributeType.STRING },
      billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
      timeToLiveAttribute: 'expiresAt',
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      removalPolicy: RemovalPolicy.DESTROY,
    });

    this.bundles = new s3.Bucket(this, 'Bundles', {
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      encryption: s3.BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      lifecycleRules: [{ abortIncompleteMultipartUploadAfter: Duration.days(1) }],
      removalPolicy: RemovalPolicy.DESTROY,
      autoDeleteObjects: true,
    });
    Validations.of(this.bundles).acknowledge({
      id: 'AwsSolutions-S1',
      reason:
        'Only who deploys puts bundles and content there; a log of that would need a bucket that outlives this one.',
    });

    this.adminToken = this.#secret(
      'AdminToken',
      'token',
      'Who has it may do everything with the control API',
    );
    this.identity = this.#secret(
      'Identity',
      'seed',
      'Keys and certificate of the control API are derived from it',
    );
  }

  /** Reading and writing rows, and reading the secrets. The bucket is for those who deploy. */
  grantUse(grantee: iam.IGrantable): void {
    this.grantRows(grantee);
    this.adminToken.grantRead(grantee);
    this.identity.grantRead(grantee);
  }

  /**
   * Reading and writing rows: of these partitions, or all. No scans: nothing is looked for that has no key.
   */
  grantRows(grantee: iam.IGrantable, partitions?: readonly string[]): void {
    grantee.grantPrincipal.addToPrincipalPolicy(
      new iam.PolicyStatement({
        sid: 'ReadAndWriteRows',
        actions: [
          'dynamodb:GetItem',
          'dynamodb:BatchGetItem',
          'dynamodb:Query',
          'dynamodb:ConditionCheckItem',
          'dynamodb:PutItem',
          'dynamodb:UpdateItem',
          'dynamodb:DeleteItem',
          'dynamodb:BatchWriteItem',
        ],
        resources: [this.table.tableArn],
        ...(partitions === undefined
          ? {}
          : { conditions: { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': partitions } } }),
      }),
    );
  }

  /** Reading the rows of clusters, and none of their events. */
  grantReadingClusters(grantee: iam.IGrantable): void {
    grantee.grantPrincipal.addToPrincipalPolicy(
      new iam.PolicyStatement({
        sid: 'ReadClusters',
        actions: ['dynamodb:Query'],
        resources: [this.table.tableArn],
        conditions: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['cluster/*'] } },
      }),
    );
  }

  #secret(id: string, key: string, description: string): secretsmanager.Secret {
    const secret = new secretsmanager.Secret(this, id, {
      description,
      generateSecretString: {
        secretStringTemplate: '{}',
        generateStringKey: key,
        passwordLength: secretLength,
        excludePunctuation: true,
      },
      removalPolicy: RemovalPolicy.DESTROY,
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        'A new value would shut out the machines that pinned what is derived from it: who rotates deploys anew.',
    });
    return secret;
  }
}
