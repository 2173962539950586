# %% [markdown]
# # Five backbones on FER2013: frozen beside fully tuned
#
# {badges}
#
# ResNet18, VGG16, DenseNet121, ViT-B/16 and CLIP ViT-B/32 with their published weights, each as a frozen
# feature extractor (20 epochs of the head) and fully tuned (5 epochs). What is chosen is chosen on
# PublicTest; PrivateTest is read once. On a T4 GPU the ten runs take some hours, and each is stored as it
# finishes: run the notebook again to go on. Choose a GPU in the runtime's settings first.

# %% setup

# %% data

# %% [markdown]
# ## Ten runs
#
# A run that is finished is not trained again, and one that was interrupted goes on after its last epoch.

# %%
import fer_bench
import torch

print("GPU:", torch.cuda.get_device_name() if torch.cuda.is_available() else "none, this is slow")
RESULTS = Path(os.environ.get("FER_BENCH_RESULTS", "five-models-results"))
BACKBONES = ("resnet18", "vgg16", "densenet121", "vit_b_16", "clip_vit_b_32")
RECIPES = {"frozen": "frozen-20", "full": "demo" if TINY else "finetune-5"}
for mode, recipe in RECIPES.items():
    for model in BACKBONES:
        run = fer_bench.train(
            model,
            DATA,
            mode=mode,
            recipe=recipe,
            epochs=EPOCHS if mode == "full" else None,
            pretraining="none" if TINY else "imagenet",
            model_options={"tiny": True} if TINY else None,
            results=RESULTS,
        )
        test = run.require_record().metrics["test"]
        low, high = test.accuracy_ci95
        print(f"{model:<14} {mode:<7} {test.accuracy:.1%} (95 %: {low:.1%} to {high:.1%})")

# %% [markdown]
# ## What came out

# %%
from fer_bench import plots
from fer_bench.results.summary import summary_table

store = fer_bench.open_results(RESULTS)
table = summary_table(store.runs()).sort_values("test_accuracy", ascending=False)
table[["title", "test_accuracy", "ci_low", "ci_high", "test_macro_f1", "parameters"]]

# %%
plots.accuracy_bars(table)

# %%
from fer_bench.evaluation.confusion import normalised

best = store.find(table["dataset"].iloc[0] + "/" + table["run"].iloc[0])
record = best.require_record()
plots.confusion_matrix(
    normalised(record.metrics["test"].confusion, "true"), record.dataset.emotions, shares=True
)

# %% [markdown]
# ## Take it home
#
# The folder is a results folder of FER Bench: download the zip, unpack it in the checkout, and
# `FER_BENCH_RESULTS=five-models-results:results streamlit run app.py` shows these runs beside the shipped ones.

# %%
import shutil

archive = shutil.make_archive(RESULTS.name, "zip", RESULTS.parent, RESULTS.name)
print(Path(archive).name, f"{Path(archive).stat().st_size / 1e6:.1f} MB")
