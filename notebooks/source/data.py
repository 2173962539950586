# %% [markdown]
# The data: `FER_BENCH_DATA`, or FER2013 from Kaggle. Where neither is to be had, the cell says what to do
# and goes on with drawn faces and tiny networks, which say nothing about real faces.

# %%
from fer_bench.errors import FerBenchError
from fer_bench.hubs.kaggle import fetch_dataset

DATA = os.environ.get("FER_BENCH_DATA")  # or the path of fer2013.zip
if DATA is None:
    try:
        DATA = str(fetch_dataset())
    except FerBenchError as why:
        print(why)
        DATA = "synthetic"
TINY = DATA == "synthetic"
EPOCHS = 12 if TINY else None  # of a full training; else the recipe's
print("drawn faces" if TINY else Path(DATA).name)
