/**
 * User data of an instance that is to be one machine of a cluster: a cloud-config document, which cloud-init (or what
 * does its part in an emulator: `write_files`, then `runcmd`) turns into an agent's container under systemd.
 *
 * A machine's life is one life of one container. Whatever ends it, also a failure before it, powers the instance off,
 * and that terminates it: so the control API learns of every end from EC2. The agent's own claim, `machine.json` beside
 * its configuration, lies on the disk: an instance that is started again finds it, runs no second agent, and ends.
 *
 * The configuration has secrets. It goes by a file that only the container's user can read, never by arguments,
 * environment or logs.
 */
import type { MachineOrder } from '@skep/contract';
import { stringify } from 'yaml';

export interface NodeUserDataOptions {
  /** What to run: `registry/repository@sha256:…`. Of ECR it is pulled with the instance's own rights. */
  readonly image: string;
  /** The configuration as ordered; the directories are added here. */
  readonly config: MachineOrder['config'];
}

/** Of the image: node-agent/Dockerfile. */
const agentUid = 10001;
const machineDirectory = '/var/lib/skep/machine';
const dataDirectory = '/var/lib/skep/data';
const programs = '/usr/local/lib/skep';
const dockerConfigDirectory = '/etc/skep/docker';
const metadataAddress = '169.254.169.254';

const imageForm = /^(?<registry>[a-z0-9.:-]+)\/[a-z0-9._/-]+@sha256:[0-9a-f]{64}$/;
const ecrRegistry = /^\d{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.aws)$/;
/** EC2 takes no more, before it is encoded. */
const mostBytes = 16_384;

/**
 * The document, not encoded; the same for the same options. Throws if the image is not named by its digest, or if the
 * document is larger than EC2 takes.
 */
export function renderNodeUserData({ image, config }: NodeUserDataOptions): string {
  const registry = imageForm.exec(image)?.groups?.registry;
  if (registry === undefined) {
    throw new Error(`the image ${image} must be named as registry/repository@sha256:digest`);
  }
  const machine = `${config.slot}@${config.generation} of cluster ${config.cluster}`;
  const fromEcr = ecrRegistry.test(registry);
  const document = {
    write_files: [
      file(
        `${machineDirectory}/agent.json`,
        '0600',
        `${JSON.stringify({ ...config, dataDirectory: '/data' })}\n`,
      ),
      file(
        `${dockerConfigDirectory}/config.json`,
        '0600',
        `${JSON.stringify({ credHelpers: fromEcr ? { [registry]: 'ecr-login' } : {} })}\n`,
      ),
      file(`${programs}/run-agent`, '0700', runAgent(image)),
      file('/etc/systemd/system/skep-agent.service', '0644', agentUnit(machine)),
      file(`${programs}/become-machine`, '0700', becomeMachine(machine, image, fromEcr)),
    ],
    runcmd: [[`${programs}/become-machine`]],
  };
  const userData = `#cloud-config\n# ${machine}, attempt ${config.attempt}\n${stringify(document, { lineWidth: 0 })}`;
  const bytes = new TextEncoder().encode(userData).length;
  if (bytes > mostBytes) {
    throw new Error(`the user data of ${machine} has ${bytes} bytes, and EC2 takes at most ${mostBytes}`);
  }
  return userData;
}

function file(path: string, permissions: string, content: string) {
  return { path, permissions, content };
}

/** Runs the one container in the foreground; ends when it does, and as it does. */
function runAgent(image: string): string {
  return `#!/bin/bash
exec docker run --pull never --name skep-agent --network host \\
  --read-only --cap-drop ALL --security-opt no-new-privileges \\
  --tmpfs /tmp:rw,noexec,nosuid,nodev,size=64m --pids-limit 1024 \\
  --log-driver local --log-opt max-size=20m \\
  --mount type=bind,source=${machineDirectory},target=/run/skep \\
  --mount type=bind,source=${dataDirectory},target=/data \\
  --env SKEP_CONFIG=/run/skep/agent.json \\
  '${image}' agent
`;
}

/** Only `Wants` the engine: without one the agent fails, and with it the instance ends; else it would wait forever. */
function agentUnit(machine: string): string {
  return `[Unit]
Description=Skep agent ${machine}
Wants=docker.service network-online.target
After=docker.service network-online.target
SuccessAction=poweroff
FailureAction=poweroff

[Service]
ExecStart=${programs}/run-agent
Restart=no
KillMode=mixed
TimeoutStopSec=60
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
`;
}

function becomeMachine(machine: string, image: string, fromEcr: boolean): string {
  return `#!/bin/bash
# Makes this instance ${machine}. Fails only with the instance.
set -euo pipefail
export HOME=/root

power_off_on_failure() {
  local status=$?
  if [ "$status" -ne 0 ]; then
    echo "skep: the agent could not be started (status $status), so this instance powers itself off" >&2
    poweroff
  fi
}
trap power_off_on_failure EXIT

# Six tries, for a minute.
patiently() {
  local pause
  for pause in 2 4 8 16 32; do
    if "$@"; then return; fi
    sleep "$pause"
  done
  "$@"
}

has_systemd() { [ -d /run/systemd/system ]; }

chown -R ${agentUid}:${agentUid} ${machineDirectory}
chmod 0700 ${machineDirectory}
install -d -m 0700 -o ${agentUid} -g ${agentUid} ${dataDirectory}

if has_systemd; then
  # The AMI is made for ECS, whose agent would look for a cluster to join.
  if systemctl cat ecs.service >/dev/null 2>&1; then systemctl mask --now --no-block ecs.service; fi
  systemctl start docker.service
fi
${
  fromEcr
    ? `command -v docker-credential-ecr-login >/dev/null || patiently dnf install --assumeyes --quiet amazon-ecr-credential-helper\n`
    : ''
}patiently docker --config ${dockerConfigDirectory} pull --quiet '${image}'

# The agent is on the instance's own network, and talks to strangers: the instance's rights are none of its business.
if command -v iptables >/dev/null; then
  iptables --insert OUTPUT --destination ${metadataAddress} --match owner --uid-owner ${agentUid} --jump REJECT
fi

if has_systemd; then
  systemctl daemon-reload
  systemctl enable skep-agent.service
  # Not waited for: cloud-init, of which this is a part, is itself a job that others wait for.
  systemctl start --no-block skep-agent.service
else
  setsid --fork bash -c '${programs}/run-agent; poweroff' </dev/null >/var/log/skep-agent.log 2>&1
fi
`;
}
