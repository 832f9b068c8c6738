/** Trackers: finding peers through an HTTP server that was named in the torrent (BEP 3, 7, 12, 23). */
export { type Announce, AnnounceSchedule, type AnnounceScheduleOptions } from './announce-schedule.ts';
export {
  type AnnounceEvent,
  type AnnounceRequest,
  type AnnounceResponse,
  announce,
  announceUrl,
  isHttpTracker,
  parseAnnounceResponse,
  TrackerError,
  type TrackerErrorCode,
} from './http-tracker.ts';
export { TrackerAnnouncer, type TrackerAnnouncerOptions, type TransferCounts } from './tracker-announcer.ts';
