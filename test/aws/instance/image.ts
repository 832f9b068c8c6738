/** Builds the image that instances are containers of: the product's image, made a machine by the files of this folder. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Resolves with its name, `skep-test-instance:<id>`. What is built of the same is built at once. */
export function buildInstanceImage(productImage: string): string {
  const productImageId = execFileSync('docker', ['image', 'inspect', '--format', '{{.Id}}', productImage], {
    encoding: 'utf8',
  }).trim();
  const context = mkdtempSync(join(tmpdir(), 'skep-instance-image-'));
  try {
    const own = readdirSync(import.meta.dirname).filter((name) => !/^image\.ts$|\.test\.ts$/.test(name));
    for (const name of own) cpSync(join(import.meta.dirname, name), join(context, name));
    const yaml = fileURLToPath(new URL('..', import.meta.resolve('yaml')));
    cpSync(yaml, join(context, 'node_modules/yaml'), { recursive: true, dereference: true });
    const image = `skep-test-instance:${productImageId.replace('sha256:', '').slice(0, 16)}`;
    execFileSync(
      'docker',
      [
        ...['build', '--quiet', '--tag', image],
        ...[
          '--build-arg',
          `PRODUCT_IMAGE=${productImage}`,
          '--build-arg',
          `PRODUCT_IMAGE_ID=${productImageId}`,
        ],
        context,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    return image;
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
}
