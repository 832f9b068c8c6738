/**
 * The images that tests run containers of, made here because nothing can be pulled: a base as `node:24-slim` would be, from
 * Debian's packages and the Node that npm brought, and on it the product's image by its own Dockerfile, once for every
 * state of what it is built from. Run as a program it prints the image's name.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomInt } from 'node:crypto';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(import.meta.dirname, '../..');

/** What `--build-arg BASE_IMAGE=` is given in tests. */
export const baseImage = 'skep-test-base:24';
/** The product's images are tagged by a hash of what they were built from. */
const productRepository = 'skep-test';
const fixtureRepository = 'skep-test-fixture';
const ofTests = 'skep.test=image';

/** What stands for an agent in the launcher's tests, in place of the product's. */
const fixture = 'control-api/src/launchers/fixtures';

/** Of node:24-slim. */
const npmVersion = '11.21.2';
/** Beside what Debian holds essential. */
const debianPackages = ['ca-certificates'];
/** Nobody reads them in a container. */
const unread = [
  'var/cache/apt',
  'var/lib/apt/lists',
  'usr/share/doc',
  'usr/share/man',
  'usr/share/locale',
  'usr/share/info',
];

/** What of the repository is in the image, or decides what is. */
const sources = ['package.json', 'package-lock.json', '.dockerignore', 'node-agent/Dockerfile'];
const workspaces = ['p2p-core', 'contract', 'node-agent', 'control-api'];

/** Whether a Docker engine answers here; tests that need one are skipped by name where none does. */
export function hasEngine(): boolean {
  return spawnSync('docker', ['version'], { stdio: 'ignore' }).status === 0;
}

/** Whether docker-compose is here too. */
export function hasCompose(): boolean {
  return hasEngine() && spawnSync('docker-compose', ['version'], { stdio: 'ignore' }).status === 0;
}

/** A /22 that no network of the engine has, drawn so that two tests at a time seldom take the same, and its last /26. */
export function freeSubnet(): { subnet: string; rest: string } {
  const ids = execFileSync('docker', ['network', 'ls', '--quiet'], { encoding: 'utf8' }).trim().split('\n');
  const used = execFileSync('docker', ['network', 'inspect', ...ids], { encoding: 'utf8' });
  for (;;) {
    const [second, third] = [128 + randomInt(64), 4 * randomInt(64)];
    if (used.includes(`"10.${second}.`)) continue;
    return { subnet: `10.${second}.${third}.0/22`, rest: `10.${second}.${third + 3}.192/26` };
  }
}

/**
 * The name of the product's image as the repository is now, built if it is not there. Takes a minute or two on a fresh
 * machine; whoever asks meanwhile, in whichever process, waits for the same build.
 */
export function productImage(): string {
  const image = `${productRepository}:${sourceHash()}`;
  if (!isThere(image)) onlyOne(fileURLToPath(import.meta.url));
  return image;
}

/** The name of an image like the product's, whose `agent` is the one that the launchers' tests know how to treat. */
export function fixtureImage(): string {
  const product = productImage();
  const content = readFileSync(join(root, fixture, 'agent.ts'));
  const image = `${fixtureRepository}:${createHash('sha256').update(`${product}\0`).update(content).digest('hex').slice(0, 16)}`;
  if (isThere(image)) return image;
  const dockerfile = [
    `FROM ${product}`,
    'COPY --chown=0:0 agent.ts /skep/control-api/src/launchers/fixtures/agent.ts',
    'USER 0',
    'RUN chmod 755 /skep/control-api/src/launchers/fixtures/agent.ts && ln -sf /skep/control-api/src/launchers/fixtures/agent.ts /usr/local/bin/agent',
    'USER 10001:10001',
  ];
  const build = ['build', '--quiet', '--file', '-', '--tag', image, join(root, fixture)];
  run('docker', build, dockerfile.join('\n'));
  return image;
}

function isThere(image: string): boolean {
  return spawnSync('docker', ['image', 'inspect', image], { stdio: 'ignore' }).status === 0;
}

function sourceHash(): string {
  const hash = createHash('sha256');
  const files = workspaces.flatMap((workspace) =>
    readdirSync(join(root, workspace), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)))
      .filter((path) => /^[^/]+\/(package\.json|src\/)/.test(path) && !path.endsWith('.test.ts')),
  );
  for (const path of [...sources, ...files.sort()]) {
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0');
  }
  return hash.digest('hex').slice(0, 16);
}

/** Runs this file as a program while no other does on this machine. */
function onlyOne(program: string): void {
  const lock = join(tmpdir(), 'skep-test-image.lock');
  execFileSync('flock', [lock, process.execPath, program], { stdio: ['ignore', 'ignore', 'inherit'] });
}

function build(): string {
  const image = `${productRepository}:${sourceHash()}`;
  if (isThere(image)) return image;
  if (!isThere(baseImage)) buildBase();
  const buildArguments = { BASE_IMAGE: baseImage, VERSION: 'test', REVISION: 'test' };
  const given = Object.entries(buildArguments).flatMap(([name, value]) => [
    '--build-arg',
    `${name}=${value}`,
  ]);
  const build = ['build', '--quiet', '--network', 'host', '--file', 'node-agent/Dockerfile', '--tag', image];
  run('docker', [...build, ...given, '--label', ofTests, '.']);
  // Those of sources that are long gone; one that a container has is kept by the engine.
  const filters = [`label=${ofTests}`, 'until=24h'].flatMap((filter) => ['--filter', filter]);
  run('docker', ['image', 'prune', '--all', '--force', ...filters]);
  return image;
}

/** A minimal Debian, this machine's Node, npm, and whom this machine trusts, so that npm reaches its registry inside. */
function buildBase(): void {
  const directory = mkdtempSync(join(tmpdir(), 'skep-test-base-'));
  const at = (path: string) => join(directory, path);
  try {
    const packages = `--include=${debianPackages.join(',')}`;
    run('debootstrap', ['--variant=minbase', packages, 'bookworm', directory]);
    for (const path of unread) rmSync(at(path), { recursive: true, force: true });
    mkdirSync(at('var/cache/apt/archives/partial'), { recursive: true });
    mkdirSync(at('var/lib/apt/lists/partial'), { recursive: true });
    cpSync('/etc/ssl/certs/ca-certificates.crt', at('etc/ssl/certs/ca-certificates.crt'));
    copyFileSync(process.execPath, at('usr/local/bin/node'));
    run('npm', ['install', '--global', '--prefix', at('usr/local'), `npm@${npmVersion}`]);
    execFileSync(
      'sh',
      [
        '-c',
        'tar --create --one-file-system --directory "$0" . | docker import --change "CMD node" - "$1"',
        directory,
        baseImage,
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Throws, with all that it printed, if the program fails. */
function run(program: string, args: readonly string[], input = ''): void {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: root,
    input,
    encoding: 'utf8',
    maxBuffer: 64_000_000,
  });
  if (status !== 0)
    throw new Error(`${program} ${args[0]} failed: ${error?.message ?? `${stdout}${stderr}`}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(build());
