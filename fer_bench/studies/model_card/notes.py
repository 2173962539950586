"""What a model card says and no record knows: the data's story, the limits of use."""

from __future__ import annotations

from fer_bench.results.record import RunRecord
from fer_bench.types import Split

#: How FER2013's files call the splits of the official protocol.
OFFICIAL = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}
ABOUT_FER2013 = """\
FER2013 (Goodfellow et al. 2013, [arXiv 1307.0414](https://arxiv.org/abs/1307.0414)): 48×48 grey
crops of faces that an image search found for emotion words and people then looked through. The
labels are noisy: human accuracy is about 65 ± 5 %. Identities and demographics were not recorded.
The data are for research; none of their images is part of FER Bench."""
ABOUT_FERPLUS = """\
FER2013's faces (Goodfellow et al. 2013, [arXiv 1307.0414](https://arxiv.org/abs/1307.0414)) under
FER+'s labels (Barsoum et al. 2016, [arXiv 1608.01041](https://arxiv.org/abs/1608.01041)): what ten
people saw in each face. Faces on which they agreed too little are left out, so its accuracies are
higher than FER2013's and do not compare with them. Identities and demographics were not recorded.
The data are for research; none of their images is part of FER Bench."""
#: By the name of the data set; others get `ABOUT_OTHER_DATA`.
ABOUT_DATA = {"fer2013": ABOUT_FER2013, "ferplus": ABOUT_FERPLUS}
ABOUT_OTHER_DATA = """\
The data set's own terms apply; those of most collections of faces allow research only. None of its
images is part of FER Bench."""
NOT_MEASURED = """\
- Not measured here, but to be expected: profile and tilted faces, hands, masks or hair over the
  face, low light, blur and very small faces. A face that the detector misses has no answer at all.
- It always answers with one of its emotions, for pictures of anything."""
USES = """\
## Intended use

Research, teaching, and demonstrations to people who know of it and agree.

## Off limits

**A face is not a feeling.** The model names an expression as annotators did; it does not know what
anybody feels.

- No inferring of emotions at work or in education: the European Union prohibits it, except for
  medical or safety reasons (AI Act, Regulation (EU) 2024/1689, Article 5(1)(f)).
- No decisions about people: hiring, grading, credit, insurance, policing, health.
- No covert use: nobody is to be analysed without knowing and agreeing."""


def official_name(record: RunRecord, split: Split) -> str:
    """` (PublicTest)`: the split's name in FER2013's files, where it has one."""
    is_official = record.dataset.name in ABOUT_DATA and record.dataset.protocol == "official"
    return f" ({OFFICIAL[split]})" if is_official else ""
