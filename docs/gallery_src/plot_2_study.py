"""
From a table to a validated model
=================================

A thousand made-up people, whose risk follows from two of their six laboratory values.
A study file says what is asked; nested cross-validation by patient and one look at people
put aside say how well it can be answered.
"""

# %%
# The table, and the mapping that says what its columns mean.
import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from tapetum import Workspace, run_study

folder = Path(tempfile.mkdtemp())
(folder / "data").mkdir()
rng = np.random.default_rng(7)
names = [f"value_{letter}" for letter in "abcdef"]
values = rng.normal(size=(1000, 6))
risk = 1 / (1 + np.exp(-(1.4 * values[:, 0] - 1.1 * values[:, 3] - 0.6)))
ill = rng.random(1000) < risk
with (folder / "data" / "people.csv").open("w", newline="") as out:
    writer = csv.writer(out)
    writer.writerow(["person", "ill", *names])
    writer.writerows(
        [i, "yes" if ill[i] else "no", *values[i].round(4)] for i in range(1000)
    )

(folder / "mapping.toml").write_text(f"""
[columns]
patient = "person"

[[observation]]
column = "ill"
kind = "text"

[[observation]]
columns = {names}
""")

# %%
# The study file. What it does not say has a default.
(folder / "study.toml").write_text(f"""
[study]
name = "Illness from six laboratory values"
question = "Will this person fall ill?"
seed = 7

[data]
paths = ["data"]
mapping = "mapping.toml"

[cohort]
unit = "patient"

[outcome]
name = "illness"
observation = "ill"
positive = ["yes"]

[features]
observations = {names}

[models]
candidates = ["logistic", "forest"]
budget = 2

[validation]
outer_folds = 3
inner_folds = 2
test_fraction = 0.4
bootstrap = 300
threshold = "youden"
""")

# %%
# Run it. The same call also writes a report with all of this and more, and the packaged
# model. The key of a workspace is random and secret; this one is public, so that the page
# stays the same.
(folder / "public.key").write_text("00" * 32)
workspace = Workspace.create(
    folder / "workspace", protect_key_file=str(folder / "public.key")
)
finished = run_study(workspace, folder / "study.toml")
result = finished.result


def in_words(performance):
    """The ROC-AUC with its 95 % interval."""
    auc = performance.metrics["roc_auc"]
    return f"ROC-AUC {auc.value:.2f} ({auc.low:.2f} to {auc.high:.2f})"


for candidate in result.candidates:
    print(f"{candidate.name:<10} in cross-validation: {in_words(candidate.performance)}")
test = result.test
print(f"{result.chosen} on {test.patients} people put aside: {in_words(test)}")

# %%
# Is the order right (left), are the probabilities right (middle), and what does the model
# look at (right)?
fig, (roc, calibration, features) = plt.subplots(
    1, 3, figsize=(11, 3.8), layout="constrained"
)
roc.plot([0, 1], [0, 1], color="#9fb4ba", linestyle=":")
roc.plot(*np.array(test.roc).T, color="#0b6b78", linewidth=2.5)
roc.set(
    title=in_words(test),
    xlabel="1 - specificity",
    ylabel="sensitivity",
    aspect="equal",
)

predicted, observed, low, high, _ = np.array(test.calibration).T
calibration.plot([0, 1], [0, 1], color="#9fb4ba", linestyle=":")
calibration.errorbar(
    predicted,
    observed,
    [observed - low, high - observed],
    fmt="o-",
    color="#0b6b78",
    ecolor="#9fb4ba",
)
calibration.set(
    title="Calibration",
    xlabel="predicted",
    ylabel="observed, with 95 % interval",
    aspect="equal",
)
calibration.set(xlim=(0, 1), ylim=(0, 1))

shown = sorted(result.importance, key=lambda item: item.loss.value)
features.barh(
    [item.name for item in shown], [item.loss.value for item in shown], color="#57d0b8"
)
features.set(title="Loss of ROC-AUC when shuffled")
for ax in (roc, calibration, features):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# What every guard against leakage looked at.
for check in result.checks:
    print(f"{check.name}: {check.detail}")
