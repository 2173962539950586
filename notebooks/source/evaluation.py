# %% [markdown]
# # How good is it, and where does it fail
#
# {badges}
#
# A trained run, looked at closely: intervals, confusions, calibration, and whether its record is right.
# It trains a small network first; name a run of yours in `RUN` to look at that one.

# %% setup

# %% data

# %%
import fer_bench
from fer_bench import plots

RESULTS = Path(os.environ.get("FER_BENCH_RESULTS", "evaluation-results"))
RUN = os.environ.get("RUN")
store = fer_bench.open_results(RESULTS)
if RUN:
    run = store.find(RUN)
else:
    run = fer_bench.train(
        "resnet18",
        DATA,
        recipe="demo",
        epochs=EPOCHS,
        pretraining="none",
        model_options={"tiny": True},
        results=RESULTS,
    )
record = run.require_record()

# %% [markdown]
# ## Every number with its interval
#
# The clean test leaves out test images that also stand in the training data.

# %%
for name, one in record.metrics.items():
    low, high = one.accuracy_ci95
    print(f"{name:<14} {one.n:>6,} images  accuracy {one.accuracy:.1%} ({low:.1%} to {high:.1%})"
          f"  macro F1 {one.macro_f1:.1%}")  # fmt: skip

# %% [markdown]
# ## What is taken for what

# %%
from fer_bench.evaluation.confusion import confused_pairs, normalised

test = record.metrics["test"]
plots.confusion_matrix(normalised(test.confusion, "true"), record.dataset.emotions, shares=True)

# %%
confused_pairs(test.confusion, record.dataset.emotions, 5)

# %% [markdown]
# ## Is it as sure as it is right?

# %%
from fer_bench.evaluation.calibration import reliability
from fer_bench.evaluation.confusion import of_set, scores

rows = of_set(store.predictions(run), "test")
labels, probabilities = scores(rows, record.dataset.emotions)
plots.reliability_diagram(reliability(labels, probabilities), test.ece)

# %% [markdown]
# ## Is the record right?
#
# Every metric again, from the predictions: what `verify RUN` does.

# %%
from fer_bench.evaluation.verify import verify

checks = verify(record, store.predictions(run))
print(sum(check.agrees for check in checks), "of", len(checks), "figures agree")

# %% [markdown]
# ## On other data, or without its mirror image

# %%
measured = fer_bench.evaluate(run.id, DATA, limit=200, tta=True, results=RESULTS)
print(f"{measured.metrics.n} images, views {measured.tta}: {measured.metrics.accuracy:.1%}")
