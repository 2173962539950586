# %% [markdown]
# # Does it really help?
#
# {badges}
#
# One change, two seeds, and a paired test: here, whether mirrored training faces help. Change `VARIANTS` to ask
# something else; a recipe is a YAML file.

# %% setup

# %% data

# %%
import yaml

import fer_bench
from fer_bench.specs.recipe import load_recipe

RESULTS = Path(os.environ.get("FER_BENCH_RESULTS", "experiment-results"))
RESULTS.mkdir(parents=True, exist_ok=True)
BASE = load_recipe("demo" if TINY else "finetune-5").model_dump(mode="json")
VARIANTS = {"mirrored": {"flip": True}, "as-they-are": {"flip": False}}
for name, augmentation in VARIANTS.items():
    recipe = BASE | {"name": name, "augmentation": augmentation}
    (RESULTS / f"{name}.yaml").write_text(yaml.safe_dump(recipe))

# %% [markdown]
# ## The runs
#
# The data's splits are the same for every seed, so that the runs answer about the same images.

# %%
runs = []
for seed in (0, 1):
    for name in VARIANTS:
        run = fer_bench.train(
            "resnet18",
            DATA,
            recipe=str(RESULTS / f"{name}.yaml"),
            epochs=EPOCHS,
            pretraining="none" if TINY else "imagenet",
            model_options={"tiny": True} if TINY else {"input_size": 64},
            seed=seed,
            results=RESULTS,
        )
        accuracy = run.require_record().metrics["test"].accuracy
        print(f"{name:<12} seed {seed}: {accuracy:.1%}")
        runs.append(run)

# %% [markdown]
# ## Their curves

# %%
from fer_bench import plots

store = fer_bench.open_results(RESULTS)
histories = {run.name: store.history(run) for run in runs}
plots.validation_curves(histories, dict.fromkeys(histories, "resnet18"), "accuracy")

# %% [markdown]
# ## The verdict
#
# Exact McNemar tests, paired bootstrap intervals and Holm's correction; seeds are averaged.

# %%
from fer_bench.studies.comparison.compare import compare
from fer_bench.studies.comparison.tables import pair_table
from fer_bench.studies.comparison.verdicts import verdict

comparison = compare(runs, [store.predictions(run) for run in runs])
print(verdict(comparison))
plots.difference_forest(pair_table(comparison))
