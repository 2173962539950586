# %% [markdown]
# # FER Bench in ten minutes
#
# {badges}
#
# Data, one frozen and one fully trained run, and the figures of the dashboard. On drawn faces it takes
# about a minute on two CPU cores.

# %% setup

# %% data

# %% [markdown]
# ## The data
#
# The same counts as `python -m fer_bench data check`.

# %%
from fer_bench import plots
from fer_bench.data.check import check

found = check(DATA)
print(found.name, found.split_sizes)
for warning in found.warnings:
    print("warning:", warning)
plots.class_balance(found.counts)

# %% [markdown]
# ## Two runs
#
# `frozen` extracts features once and trains the head on them; `full` trains everything. Both choose
# their epoch on the validation split and read the test split once.

# %%
import fer_bench

RESULTS = Path(os.environ.get("FER_BENCH_RESULTS", "quickstart-results"))
options = {"tiny": True} if TINY else {"input_size": 64}
runs = []
for mode, recipe in (("frozen", "frozen-20"), ("full", "demo" if TINY else "finetune-5")):
    run = fer_bench.train(
        "resnet18",
        DATA,
        mode=mode,
        recipe=recipe,
        epochs=EPOCHS if mode == "full" else None,
        pretraining="none",
        model_options=options,
        results=RESULTS,
    )
    test = run.require_record().metrics["test"]
    low, high = test.accuracy_ci95
    print(f"{run.name}: {test.accuracy:.1%} (95 %: {low:.1%} to {high:.1%})")
    runs.append(run)

# %% [markdown]
# ## Figures
#
# Records in, Plotly figures out: the same functions that the dashboard calls. Runs on drawn faces are
# marked as not comparable.

# %%
store, full = fer_bench.open_results(RESULTS), runs[1]
record = full.require_record()
plots.training_curve(store.history(full), "accuracy", record.training.best_epoch)

# %%
from fer_bench.evaluation.confusion import normalised

shares = normalised(record.metrics["test"].confusion, "true")
plots.confusion_matrix(shares, record.dataset.emotions, shares=True)

# %% [markdown]
# Next, in the checkout: `FER_BENCH_RESULTS=notebooks/quickstart-results:results streamlit run app.py` shows
# these records beside the shipped ones.
