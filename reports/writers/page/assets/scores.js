"use strict";

// What every threshold flags, from the counts that the page holds: exact at each threshold it offers.
const Scores = (() => {
  /** From differences to a list of {threshold, flagged, caught}: first all rows, then what lies above each score. */
  function steps(counts) {
    let [flagged, caught] = [counts.rows, counts.anomalies];
    const found = [{ threshold: -Infinity, flagged, caught }];
    counts.t.forEach((threshold, place) => {
      flagged -= counts.flagged[place];
      caught -= counts.caught[place];
      found.push({ threshold, flagged, caught });
    });
    return found;
  }

  /** The confusion matrix and what follows from it; where nothing is flagged, precision and F1 are 0. */
  function judge(step, counts) {
    const tp = step.caught;
    const fp = step.flagged - step.caught;
    const fn = counts.anomalies - tp;
    const tn = counts.rows - counts.anomalies - fp;
    return {
      tp, fp, fn, tn,
      precision: step.flagged ? tp / step.flagged : 0,
      recall: tp / (tp + fn),
      f1: tp ? (2 * tp) / (2 * tp + fp + fn) : 0,
      accuracy: (tp + tn) / counts.rows,
      fpr: fp / (fp + tn),
    };
  }

  /** ROC and precision–recall points, from no row flagged to all of them. */
  function curves(series) {
    if (series.counts) {
      const path = steps(series.counts).toReversed();
      const points = path.map((step) => ({ ...judge(step, series.counts), threshold: step.threshold }));
      const flagging = points.filter((point) => point.tp + point.fp);
      return {
        fpr: points.map((p) => p.fpr), tpr: points.map((p) => p.recall), thresholds: points.map((p) => p.threshold),
        recall: flagging.map((p) => p.recall), precision: flagging.map((p) => p.precision), at: flagging.map((p) => p.threshold),
      };
    }
    const curve = series.curve;
    if (!curve) return null;
    const found = { fpr: curve.fpr, tpr: curve.tpr, thresholds: null, recall: [], precision: [], at: null };
    const normal = curve.rows - curve.anomalies;
    curve.tpr.forEach((tpr, place) => {
      const [hit, miss] = [tpr * curve.anomalies, curve.fpr[place] * normal];
      if (hit + miss > 0) {
        found.recall.push(tpr);
        found.precision.push(hit / (hit + miss));
      }
    });
    return found;
  }

  return { steps, judge, curves };
})();
