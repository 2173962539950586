"""What the field's words mean, one sentence each: the pages' tooltips."""

from __future__ import annotations

TERMS = {
    "accuracy": "Share of the images whose answer is their label",
    "aurc": "Area under the risk-coverage curve: the mean error when the least confident answers "
    "are left out first, over every share of answers; less is better",
    "balanced": "Balanced accuracy: mean recall over emotions, so that rare ones count as much",
    "clean": "Test images that do not occur in train or val too, pixel by pixel",
    "ece": "Expected calibration error: mean distance between confidence and accuracy over 15 "
    "equal-width bins, by their images; less is better",
    "calibrated ece": "ECE of the answers that Live, the API and `predict` give, whose logits are "
    "divided by a temperature fitted on the selection split",
    "classwise ece": "The same for each emotion's own probability over all images, mean over "
    "emotions (Kull et al. 2019; Nixon et al. 2019: static calibration error)",
    "kaggle": "The split of Kaggle's folders: a tenth of train held out as val, PublicTest and "
    "PrivateTest together as test",
    "macro f1": "Mean of the emotions' F1, the harmonic mean of precision and recall",
    "official": "The authors' own split: Training, PublicTest as val, PrivateTest as test",
    "roc-auc": "Chance that an image of an emotion gets a higher probability of it than one of "
    "another, mean over emotions",
    "tta": "Test-time augmentation: the mean answer over several views of an image, such as its "
    "mirror image",
}


def explain(*words: str) -> str:
    """A tooltip in Markdown about several words; those without an entry are left out."""
    known = [word for word in dict.fromkeys(words) if word in TERMS]
    return "  \n".join(f"**{word}**: {TERMS[word]}" for word in known)
