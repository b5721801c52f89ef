import { isBelow, ROOT, type RelativePath } from '../core/relative-path.js';

/** More directories than this are told as one: the root. */
const MAX_SPOTS = 1_000;

/**
 * What nothing is told of: single directories that cannot be watched, or everything, while events are lost or too many
 * directories cannot be watched. Tells each beginning and each end once. In bounded memory.
 */
export class BlindSpots {
  /** And whether trying again may help; otherwise an event is waited for. */
  private readonly spots = new Map<RelativePath, boolean>();
  /** While everything is walked: what was told before and not met so far. */
  private unmet = new Set<RelativePath>();
  private areEventsLost = false;
  private areTooMany = false;
  private isRootTold = false;

  constructor(
    private readonly report: {
      blind(below: RelativePath, reason: string): void;
      sees(below: RelativePath): void;
    },
  ) {}

  get isAny(): boolean {
    return this.isRootTold || this.spots.size > 0;
  }

  /** Then not all of them are known by name. */
  get isCrowded(): boolean {
    return this.areTooMany;
  }

  /** A directory cannot be watched. True when that is told now, of the directory itself. */
  add(path: RelativePath, reason: string, mayPass: boolean): boolean {
    if (this.areTooMany) return false;
    const isTold = this.spots.has(path) || this.unmet.has(path);
    if (!isTold && this.spots.size >= MAX_SPOTS) {
      this.areTooMany = true;
      this.tellRoot(reason);
      return false;
    }
    this.spots.set(path, mayPass);
    this.unmet.delete(path);
    if (!isTold) this.report.blind(path, reason);
    return !isTold;
  }

  /** A directory is watched, or gone. */
  remove(path: RelativePath): void {
    if (this.spots.delete(path)) this.report.sees(path);
  }

  /** Those for which trying again may help. */
  passing(): RelativePath[] {
    return [...this.spots].filter(([, mayPass]) => mayPass).map(([path]) => path);
  }

  atOrBelow(top: RelativePath): RelativePath[] {
    return [...this.spots.keys()].filter((path) => path === top || isBelow(path, top));
  }

  eventsAreLost(reason: string): void {
    this.areEventsLost = true;
    this.tellRoot(reason);
  }

  /** A walk of everything begins: what it does not `add` again is over. */
  beginWalk(): void {
    this.unmet = new Set(this.spots.keys());
    this.spots.clear();
    this.areTooMany = false;
  }

  /** It ended; `areEventsLost`: events were lost meanwhile. */
  endWalk(areEventsLost: boolean): void {
    for (const path of this.unmet) this.report.sees(path);
    this.unmet.clear();
    this.areEventsLost = areEventsLost;
    if (!this.isRootTold || this.areEventsLost || this.areTooMany) return;
    this.isRootTold = false;
    this.report.sees(ROOT);
  }

  private tellRoot(reason: string): void {
    if (this.isRootTold) return;
    this.isRootTold = true;
    this.report.blind(ROOT, reason);
  }
}
