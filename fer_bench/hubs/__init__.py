"""Places where others keep models and data: the Hugging Face hub, Kaggle."""
