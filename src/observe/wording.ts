/** Counts, durations and the text of others, as they stand in a sentence for a person. */

/** `1 name`, `2,000 names`. */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number.toLocaleString('en-US')} ${number === 1 ? noun : plural}`;
}

/** The two largest units of a time in milliseconds: `0.4 s`, `3m12s`, `2h05m`, `3d04h`. */
export function formatDuration(ms: number): string {
  // Rounded first: 59.96 seconds are a minute.
  const tenths = Math.round(Math.max(0, ms) / 100);
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`;
  const seconds = Math.floor(tenths / 10);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes < 60) return `${minutes}m${twoDigits(seconds % 60)}s`;
  if (hours < 24) return `${hours}h${twoDigits(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d${twoDigits(hours % 24)}h`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}

/** A reason behind what it explains; nothing when there is none. */
export function because(reason: string | undefined): string {
  return reason === undefined || reason === '' ? '' : `: ${reason}`;
}

const CONTROLS = /[\x00-\x1f\x7f-\x9f\u2028\u2029]+/;

/** Text of others, such as a message of rsync or a name: nothing in it can begin a line or steer a terminal. */
export function oneLine(text: string): string {
  return text
    .split(CONTROLS)
    .filter((part) => part !== '')
    .join(' ');
}
