import type { Unit } from './scenario.js';

/** A value as people read it, with its unit. */
export function formatValue(value: number, unit: Unit): string {
  switch (unit) {
    case 'ms':
      return value >= 10_000 ? `${(value / 1000).toFixed(1)} s` : `${significant(value)} ms`;
    case 'bytes':
      return formatBytes(value);
    case 'percent of a core':
      return `${significant(value)} %`;
    case 'times':
      return `${significant(value)} x`;
  }
}

export function formatRatio(ratio: number): string {
  return significant(ratio);
}

function formatBytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`;
  return bytes >= 1e3 ? `${(bytes / 1e3).toFixed(1)} kB` : `${bytes.toFixed(0)} B`;
}

/** Three digits that mean something. */
function significant(value: number): string {
  if (value >= 100 || value === 0) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value >= 0.1 ? value.toFixed(2) : value.toPrecision(2);
}
