"""Scores that the clinicians of the ward asked for."""

import numpy as np


def roc_auc(truth, score):
    order = np.argsort(score, kind="stable")
    rank = np.empty(len(score))
    rank[order] = np.arange(1, len(score) + 1)
    ill = truth > 0.5
    count = ill.sum()
    return (rank[ill].sum() - count * (count + 1) / 2) / max(1, count * (len(truth) - count))


def auc_interval(truth, score, rounds=32, seed=0):
    """The area under the curve and how far it can be trusted, by resampling."""
    rng = np.random.default_rng(seed)
    areas = []
    for _ in range(rounds):
        rows = rng.integers(0, len(truth), len(truth))
        areas.append(roc_auc(truth[rows], score[rows]))
    low, high = np.percentile(areas, [2.5, 97.5])
    return roc_auc(truth, score), low, high
