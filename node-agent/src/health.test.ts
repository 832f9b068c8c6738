import { describe, expect, it } from 'vitest';
import { metricsText } from './health.ts';

describe('metrics', () => {
  const text = metricsText({
    slot: 'bootstrap-1',
    generation: 2,
    controlSilentMs: () => 1_500,
    report: () => ({
      state: 'serving',
      lamport: 7,
      dhtNodes: 8,
      ring: { role: 'leader', term: 3, configurationVersion: 1, dead: [] },
      torrents: [
        {
          infoHash: 'aa',
          state: 'downloading',
          lengthBytes: 100,
          haveBytes: 40,
          downloadRate: 1,
          uploadRate: 2,
          downloadedBytes: 50,
          uploadedBytes: 60,
          wastedBytes: 10,
          peers: 4,
        },
      ],
    }),
  });

  it('are in the text exposition format: help and type once a metric, base units', () => {
    expect(text).toContain('# TYPE skep_serving gauge\nskep_serving 1\n');
    expect(text).toContain('skep_control_api_silence_seconds 1.5\n');
    expect(text).toContain('skep_torrent_have_bytes{infohash="aa"} 40\n');
    expect(text).toContain('skep_ring_leader 1\n');
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(/^(# (HELP|TYPE) skep_\w+ .+|skep_\w+(\{\w+="[\w-]+"\})? [\d.]+)$/);
    }
  });
});
