"""The moderated comparison once more, from its formulas, in plain loops over plain numbers and with `scipy.stats`.

It shares no code with the product. Numbers in brackets are the steps of the specification.
"""

from __future__ import annotations

import numpy as np
from scipy import stats


def f_tail(f: float, df1: float, df2: float) -> float:
    return float(stats.f.sf(f, df1, df2))


def row_tests(rows: list[list[float]]) -> tuple[list[float], list[float]]:
    """(1) F and p of each row against the others; row 0 keeps its weight."""
    count, n = len(rows), len(rows[0])
    nu = n - 1
    weights = [1.0] * count
    for repetition in range(4):
        found = []
        for i in range(count):
            others = [k for k in range(count) if k != i]
            w = sum(weights[k] for k in others)
            center = [sum(weights[k] * rows[k][j] for k in others) / w for j in range(n)]
            above = sum((rows[i][j] - center[j]) ** 2 for j in range(n)) / (nu * (1 + 1 / w))
            if w - 1 <= 0.3:
                found.append((0.0, 1.0))
                continue
            squares = sum(weights[k] * sum(x * x for x in rows[k]) for k in others) - w * sum(x * x for x in center)
            f = above / (squares / (nu * (w - 1)))
            found.append((f, f_tail(f, nu, nu * (w - 1))))
        if repetition < 3:
            weights[1:] = [min(1.0, p / 0.05) for _, p in found[1:]]
    return [f for f, _ in found], [p for _, p in found]


def john_p(u: float, p: float, nu: int) -> float:
    """(4) P of a larger sphericity statistic, by the moments of a Beta distribution."""
    if p <= 1.99 or nu == 1:
        return 1.0
    n = p * nu
    mean = (nu + p + 1) / (n + 2)
    numerator = n**2 * (nu + p + 1) ** 2 + 4 * n * (2 * nu**2 + 5 * n + 2 * p**2 + 5 * nu + 5 * p + 5)
    square = numerator / (n * (n + 2) * (n + 4) * (n + 6))
    low = 1 / min(p, nu)
    mu, variance = (mean - low) / (1 - low), (square - mean**2) / (1 - low) ** 2
    size = mu * (1 - mu) / variance - 1
    return float(stats.beta.sf((u - low) / (1 - low), mu * size, (1 - mu) * size))


def moderated(differences: list[list[float]]) -> dict[str, object]:
    """(1) to (8): standard errors and degrees of freedom of at least two complete arms."""
    m, n = len(differences), len(differences[0])
    nu = n - 1
    c = [[x - sum(row) / n for x in row] for row in differences]
    own = [sum(x * x for x in row) / nu for row in c]
    f, p = row_tests([[0.0] * n, *c])
    w = [min(1.0, (6 / ratio) ** 3) if ratio > 0 else 1.0 for ratio in f[1:]]
    total = sum(w)
    common = [sum(w[i] * c[i][j] for i in range(m)) / total for j in range(n)]
    mean_variance = sum(w[i] * own[i] for i in range(m)) / total
    pooled = 2 * (mean_variance - sum(x * x for x in common) / nu * total / (total + 1))
    rows, weights = [[0.0] * n, *c], [1.0, *w]
    centers = [sum(weights[i] * rows[i][j] for i in range(m + 1)) / (total + 1) for j in range(n)]
    g = sum(
        weights[i] * np.outer(np.array(rows[i]) - np.array(centers), np.array(rows[i]) - np.array(centers))
        for i in range(m + 1)
    )
    p_u = john_p(float(np.trace(g @ g) / np.trace(g) ** 2), total, nu)
    h = sum(w[i] * np.outer(c[i], c[i]) for i in range(m))
    df_s = nu * np.trace(h) ** 2 / np.trace(h @ h)
    tau = 0.3 if n <= 4 else 0.2
    trust_mean, trust = min(1.0, p[0] / tau), min(1.0, min(p[0], p_u) / tau)
    v0 = trust_mean * pooled + (1 - trust_mean) * mean_variance
    df0 = 1 / (trust / (nu * max(total, 1)) + (1 - trust) / df_s)
    se, df = [], []
    for i in range(m):
        level = max(0.1, 2 / nu**2) * m / (m - 1)
        share = min(1.0, p[i + 1] / level, m * stats.f.cdf(own[i] / v0, nu, df0) / 0.1)
        b = 1 - share * 12 / (12 + nu)
        se.append(((b * own[i] + (1 - b) * v0) / n) ** 0.5)
        df.append(1 / ((1 - b**2) / df0 + b**2 / nu))
    return {"F": f, "p": p, "W": total, "V0": v0, "df0": df0, "p_u": p_u, "se": se, "df": df}
