import { describe, expect, it } from 'vitest';
import { DeleteMemory } from '../../../src/transfer/delete-memory.js';
import { ManualClock } from '../../support/manual-clock.js';

const HOUR = 60 * 60_000;

function remember(): { memory: DeleteMemory; clock: ManualClock; told: () => number } {
  const clock = new ManualClock();
  let told = 0;
  return {
    clock,
    memory: new DeleteMemory(clock, () => {
      told++;
    }),
    told: () => told,
  };
}

describe('what is remembered of a remote', () => {
  it('is nothing at first, and after a run that deleted by name', () => {
    const { memory, told } = remember();
    memory.learn('names', {});
    expect([memory.deletesBy, told()]).toEqual(['names', 0]);
  });

  it('is for an hour that it must be told by rules', () => {
    const { memory, clock } = remember();
    memory.learn('names', { deletesBy: 'rules' });
    clock.advance(HOUR - 1);
    expect(memory.deletesBy).toBe('rules');
    clock.advance(1);
    expect(memory.deletesBy).toBe('names');
  });

  it('is forgotten also while runs by rules go on', () => {
    const { memory, clock } = remember();
    memory.learn('names', { deletesBy: 'rules' });
    for (let step = 0; step < 10; step++) {
      clock.advance(HOUR / 10);
      memory.learn('rules', { deletesBy: 'rules' });
    }
    expect(memory.deletesBy).toBe('names');
  });

  it('is told once, however often it is found out', () => {
    const { memory, clock, told } = remember();
    for (let times = 0; times < 3; times++) {
      memory.learn('names', { deletesBy: 'rules' });
      memory.learn('names', { deletesBy: 'rules' });
      clock.advance(HOUR);
    }
    expect(told()).toBe(1);
  });
});
