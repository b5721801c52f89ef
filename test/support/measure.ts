/** The middle one; of an even number the lower of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error('no values, no median');
  return [...values].sort((one, other) => one - other)[Math.floor((values.length - 1) / 2)]!;
}

/** For a failure message: what was measured, in the order in which it was. */
export function inMs(values: readonly number[]): string {
  return `median ${median(values).toFixed(1)} ms of ${values.map((value) => value.toFixed(1)).join(', ')}`;
}
