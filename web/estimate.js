// How long something will still take, from how far it has come; nothing where there is no basis for it.

const BASIS = 3000; // ms
const PART = 0.04; // of the whole

/** Told of each step; the wait since the last one counts, so that what stands still takes longer and longer. */
export class Estimate {
  add(share, now = performance.now()) {
    if (this.share === undefined || share < this.share) this.from = { share, now };
    this.share = share;
  }

  /** Seconds, or null. */
  left(now = performance.now()) {
    if (this.share === undefined) return null;
    const came = this.share - this.from.share;
    const took = now - this.from.now;
    return took < BASIS || came < PART ? null : ((1 - this.share) * took) / came / 1000;
  }
}

/** As people say it: [key of messages.js, its values]. */
export function inWords(seconds) {
  if (seconds < 10) return ["leftSoon"];
  if (seconds < 55) return ["leftSeconds", { count: Math.ceil(seconds / 10) * 10 }];
  return ["leftMinutes", { count: Math.ceil(seconds / 60) }];
}
