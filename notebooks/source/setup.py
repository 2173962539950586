# %%
# On Colab and Kaggle this fetches the project. Elsewhere it does nothing.
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = "{repository}"
if importlib.util.find_spec("fer_bench") is None:
    if "OWNER" in REPOSITORY:
        raise SystemExit("Set REPOSITORY above to the project's address, then run this again.")
    subprocess.run(["git", "clone", "--depth", "1", REPOSITORY, "fer-bench"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "./fer-bench"], check=True)
