# %% [markdown]
# # Name the expressions in your own pictures
#
# {badges}
#
# The shipped model on a photo: faces, probabilities, an annotated copy, and many crops at once. No data
# set is needed.

# %% setup

# %%
import fer_bench
from PIL import Image

#: Where the project's files are: the checkout, or what the cell above fetched.
PROJECT = next(p for p in map(Path, (".", "..", "fer-bench")) if (p / "results").is_dir())
#: Or a picture of yours.
PHOTO = Path(os.environ.get("PHOTO", PROJECT / "assets" / "samples" / "astronaut.jpg"))
predictor = fer_bench.load("default", results=PROJECT / "results")
analysis = predictor.predict(PHOTO)
for face in analysis.faces:
    print(face.face.box, face.emotion, f"{face.score:.0%}")
if not analysis.faces:
    raise SystemExit(f"no face found in {PHOTO}: choose another picture")

# %% [markdown]
# A face is not a feeling: the model names an expression as annotators did.

# %%
from fer_bench.inference.drawing.faces import annotate
from fer_bench.inference.images import read_image

emotions = predictor.classifier.emotions
Image.fromarray(annotate(read_image(PHOTO), analysis.faces, emotions))

# %%
from fer_bench import plots

(first, *_) = analysis.faces
plots.probability_bars(dict(zip(emotions, first.probabilities.tolist(), strict=True)))

# %% [markdown]
# ## Crops that are faces already
#
# Drawn faces here; any list of uint8 arrays will do, gray or RGB, of any size.

# %%
import pandas as pd
from fer_bench.data.synthetic import read_synthetic

drawn = read_synthetic(n_per_class=3)
probabilities = predictor.classifier.probabilities(list(drawn.images))
named = [emotions[best] for best in probabilities.argmax(axis=1)]
pd.crosstab([drawn.emotions[label] for label in drawn.labels], named)

# %% [markdown]
# Folders, videos and the webcam: `python -m fer_bench predict default photos/ clip.mp4 --csv faces.csv`,
# and the dashboard's pages Try an image and Live. `hub:ORG/NAME` instead of `default` takes a model from the
# Hugging Face hub.
