/** How soon others notice a failure and act on it, by their own documents. Quoted, not measured here. */
export interface PublishedAnchor {
  readonly name: string;
  readonly says: string;
  readonly source: string;
}

export const published: readonly PublishedAnchor[] = [
  {
    name: 'Raft',
    says:
      'A leader of five dies at broadcast times of some 15 ms: elected after 35 ms on average and 152 ms at worst with timeouts of 12-24 ms; ' +
      '287 ms in the median with 150-155 ms; at most 513 ms with 150-200 ms. The authors advise 150-300 ms.',
    source:
      'Ongaro, Ousterhout: In Search of an Understandable Consensus Algorithm (extended version), 9.3 and figure 16',
  },
  {
    name: 'Kubernetes',
    says:
      'A node that does not report is unhealthy after 40 s (node-monitor-grace-period, 50 s since 1.32); its pods are evicted 300 s later ' +
      '(default-not-ready-toleration-seconds, default-unreachable-toleration-seconds).',
    source:
      'kubernetes.io/docs/reference/command-line-tools-reference: kube-controller-manager, kube-apiserver',
  },
  {
    name: 'Nomad',
    says: 'A client has at least 10 s for its next heartbeat (min_heartbeat_ttl) and 10 s more (heartbeat_grace); then it is down and its work is placed anew.',
    source: 'developer.hashicorp.com/nomad/docs/configuration/server',
  },
  {
    name: 'EC2 Auto Scaling',
    says: 'Status checks run every minute; a new instance is not replaced in its first 300 s (health check grace period, default of the console).',
    source:
      'docs.aws.amazon.com/autoscaling/ec2/userguide/health-check-grace-period.html; docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html',
  },
];
