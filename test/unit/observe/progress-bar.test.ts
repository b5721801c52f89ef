import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { formatBytes, formatDuration, ProgressBars } from '../../../src/observe/progress-bar.js';

function terminal() {
  return Object.assign(new PassThrough(), { isTTY: true, columns: 120, rows: 24 });
}

/** What was written, without the codes that move the cursor. */
function shown(stream: PassThrough): string {
  return String(stream.read() ?? '').replace(/\x1b\[[0-9;?]*[A-Za-z]/g, '');
}

test('there is a bar for each remote with files, bytes and the time that is left', () => {
  const stream = terminal();
  const bars = new ProgressBars(stream);
  bars.update('a::m', { files: 12, bytes: 1_572_864, fraction: 0.5, etaSeconds: 192 });
  bars.update('b::m', { files: 0, bytes: 0, fraction: 0 });
  bars.finish('b::m', 'done in 3s');
  bars.stop();
  const text = shown(stream);
  expect(text).toMatch(/a::m .* 50% {2}12 files {2}1.5 MB {2}ETA 3m12s/);
  expect(text).toMatch(/b::m .*100% {2}0 files {2}0 B {2}done in 3s/);
});

test('what comes after the end is ignored', () => {
  const stream = terminal();
  const bars = new ProgressBars(stream);
  bars.stop();
  bars.stop();
  bars.update('a::m', { files: 1, bytes: 1, fraction: 2 });
  bars.finish('a::m', 'x');
  expect(shown(stream)).not.toContain('a::m');
});

test('signals are left to the service', () => {
  const before = process.listenerCount('SIGINT') + process.listenerCount('SIGTERM');
  const bars = new ProgressBars(terminal());
  bars.update('a::m', { files: 0, bytes: 0, fraction: 0 });
  expect(process.listenerCount('SIGINT') + process.listenerCount('SIGTERM')).toBe(before);
  bars.stop();
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1_023, '1 KB'],
  [1_536, '1.5 KB'],
  [10_240, '10 KB'],
  [47_185_920, '45 MB'],
  [1_073_741_824, '1 GB'],
  [1.5e15, '1.33 PB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0, '0s'],
  [59.4, '59s'],
  [60, '1m00s'],
  [192, '3m12s'],
  [3_600, '1h00m'],
  [7_500, '2h05m'],
  [273_600, '3d04h'],
])('%d seconds are %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});
