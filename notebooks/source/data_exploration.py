# %% [markdown]
# # What is in the data
#
# {badges}
#
# Counts, faces, duplicates and leaks: what to know of a data set before training on it.

# %% setup

# %% data

# %% [markdown]
# ## Counts
#
# Emotions are uneven in most collections; accuracy hides what happens to the rare ones.

# %%
from fer_bench import plots
from fer_bench.data.check import check

found = check(DATA)
print(f"{found.n_images:,} images of {found.image_size}, read as {found.format}")
for note in (*found.notes, *found.warnings):
    print("-", note)
plots.class_balance(found.counts)

# %% [markdown]
# ## Faces
#
# Eight training faces of each emotion, a row each, in the order of the labels.

# %%
import fer_bench
import numpy as np
from PIL import Image

dataset = fer_bench.load_dataset(DATA)
train = dataset.indices("train")
rows = []
for label, emotion in enumerate(dataset.emotions):
    chosen = train[dataset.labels[train] == label][:8]
    rows.append(np.hstack(list(dataset.images[chosen])))
    print(emotion, end="  ")
Image.fromarray(np.vstack(rows))

# %% [markdown]
# The mean face of each emotion: what is common to its pictures, light and framing included.

# %%
means = [
    dataset.images[train[dataset.labels[train] == label]].mean(axis=0)
    for label in range(len(dataset.emotions))
]
Image.fromarray(np.hstack(means).round().astype(np.uint8))

# %% [markdown]
# ## Duplicates and leaks
#
# The same picture twice, with another label, or in training and test alike. `data audit` says the same.

# %%
from fer_bench.data.audit import audit
from fer_bench.data.load import read_source

report = audit(read_source(DATA))
print(f"{report.n:,} images, {report.n_distinct:,} distinct")
print("groups of exact duplicates:", report.exact.n_groups)
print("  of them with conflicting labels:", report.exact.n_conflicting)
print("held-out images that stand in train:", report.exact.n_held_out_in_train)
