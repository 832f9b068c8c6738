/**
 * Content for machines that share no disk with this one: a file in the deployment's bucket, and an address with a
 * signature from which it can be fetched for an hour.
 */
import { createReadStream, statSync } from 'node:fs';
import type { AwsAccount } from './account.ts';

export interface UploadedContent {
  /** It holds a signature: whoever has it may read the file until its time is over. */
  readonly url: string;
  /** Takes it out of the bucket again. Rejects with CliError. */
  remove(): Promise<void>;
}

const addressSeconds = 3_600;

/** Rejects with CliError. */
export async function uploadContent(
  account: AwsAccount,
  { bucket, key, path }: { readonly bucket: string; readonly key: string; readonly path: string },
): Promise<UploadedContent> {
  const [{ S3Client, PutObjectCommand, GetObjectCommand, DeleteObjectCommand }, { getSignedUrl }] =
    await Promise.all([import('@aws-sdk/client-s3'), import('@aws-sdk/s3-request-presigner')]);
  const s3 = new S3Client(account.settings);
  const place = { Bucket: bucket, Key: key };
  const ContentLength = statSync(path).size;
  await account.ask((abortSignal) =>
    s3.send(new PutObjectCommand({ ...place, ContentLength, Body: createReadStream(path) }), { abortSignal }),
  );
  const url = await account.ask(() =>
    getSignedUrl(s3, new GetObjectCommand(place), { expiresIn: addressSeconds }),
  );
  return {
    url,
    async remove() {
      await account.ask((abortSignal) => s3.send(new DeleteObjectCommand(place), { abortSignal }));
    },
  };
}
