/**
 * User data of the control API's instance: a cloud-config document that has its container run by digest under systemd,
 * and always again. Nothing in it is secret: the container reads its secrets itself, by the instance's rights.
 *
 * One that stays unhealthy is started anew by a timer; if that does not help, the instance powers itself off, which
 * ends it, and its group makes another.
 */
import { Fn } from 'aws-cdk-lib';
import { stringify } from 'yaml';

export interface ControlApiBoot {
  /** `registry/repository@sha256:…`; may be a token. */
  readonly image: string;
  readonly environment: Readonly<Record<string, string>>;
}

const programs = '/usr/local/lib/skep';
const environmentFile = '/etc/skep/control-api.env';
const dockerConfigDirectory = '/etc/skep/docker';
const container = 'skep-control-api';

export function renderControlApiUserData({ image, environment }: ControlApiBoot): string {
  const lines = Object.entries(environment).map(([name, value]) => `${name}=${value}\n`);
  const registry = Fn.select(0, Fn.split('/', image));
  const document = {
    write_files: [
      file(environmentFile, '0600', lines.join('')),
      file(`${dockerConfigDirectory}/config.json`, '0600', `{"credHelpers":{"${registry}":"ecr-login"}}\n`),
      file(`${programs}/run-control-api`, '0700', runControlApi(image)),
      file(`${programs}/tend-control-api`, '0700', tendControlApi),
      file(`/etc/systemd/system/${container}.service`, '0644', serviceUnit),
      file('/etc/systemd/system/skep-tend.service', '0644', tendUnit),
      file('/etc/systemd/system/skep-tend.timer', '0644', tendTimer),
      file(`${programs}/become-control-plane`, '0700', becomeControlPlane(image)),
    ],
    runcmd: [[`${programs}/become-control-plane`]],
  };
  return `#cloud-config\n# The control API of a Skep deployment\n${stringify(document, { lineWidth: 0 })}`;
}

function file(path: string, permissions: string, content: string) {
  return { path, permissions, content };
}

/** Runs the container in the foreground. One that is left from before, as by a crash, makes room. */
function runControlApi(image: string): string {
  return `#!/bin/bash
docker rm --force ${container} >/dev/null 2>&1
exec docker run --pull never --name ${container} --network host \\
  --read-only --cap-drop ALL --security-opt no-new-privileges \\
  --tmpfs /tmp:rw,noexec,nosuid,nodev,size=64m --pids-limit 1024 \\
  --log-driver local --log-opt max-size=20m \\
  --env-file ${environmentFile} \\
  '${image}' control-api
`;
}

const tendControlApi = `#!/bin/bash
# Once a minute: a control API that its own health check finds unhealthy is started anew, five times at most until it is
# healthy again. While it is starting, nothing is known yet.
set -euo pipefail
count=/run/skep-unhealthy
case "$(docker inspect --format '{{.State.Health.Status}}' ${container} 2>/dev/null || true)" in
  healthy) rm -f "$count" ;;
  unhealthy)
    echo >> "$count"
    if [ "$(wc -l < "$count")" -gt 5 ]; then
      echo 'skep: the control API stays unhealthy, so this instance powers itself off to be replaced' >&2
      poweroff
    else
      systemctl restart ${container}.service
    fi
    ;;
esac
`;

const serviceUnit = `[Unit]
Description=Skep control API
Wants=docker.service network-online.target
After=docker.service network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=${programs}/run-control-api
Restart=always
RestartSec=2
KillMode=mixed
TimeoutStopSec=60
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
`;

const tendUnit = `[Unit]
Description=Starts the Skep control API anew while it is unhealthy

[Service]
Type=oneshot
ExecStart=${programs}/tend-control-api
`;

const tendTimer = `[Unit]
Description=Looks after the Skep control API once a minute

[Timer]
OnBootSec=60
OnUnitActiveSec=60

[Install]
WantedBy=timers.target
`;

function becomeControlPlane(image: string): string {
  return `#!/bin/bash
# Makes this instance the control plane. Fails only with the instance, which its group then replaces.
set -euo pipefail
export HOME=/root

power_off_on_failure() {
  local status=$?
  if [ "$status" -ne 0 ]; then
    echo "skep: the control API could not be started (status $status), so this instance powers itself off" >&2
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

image='${image}'
if has_systemd; then
  # The AMI is made for ECS, whose agent would look for a cluster to join.
  if systemctl cat ecs.service >/dev/null 2>&1; then systemctl mask --now --no-block ecs.service; fi
  systemctl start docker.service
fi
case "$image" in
  *.amazonaws.com/* | *.amazonaws.com.cn/* | *.on.aws/*)
    command -v docker-credential-ecr-login >/dev/null ||
      patiently dnf install --assumeyes --quiet amazon-ecr-credential-helper
    ;;
  *) rm -f ${dockerConfigDirectory}/config.json ;;
esac
patiently docker --config ${dockerConfigDirectory} pull --quiet "$image"

if has_systemd; then
  systemctl daemon-reload
  systemctl enable ${container}.service skep-tend.timer
  # Not waited for: cloud-init, of which this is a part, is itself a job that others wait for.
  systemctl start --no-block ${container}.service skep-tend.timer
else
  setsid --fork bash -c 'while :; do ${programs}/run-control-api; sleep 2; done' \\
    </dev/null >/var/log/${container}.log 2>&1
fi
`;
}
