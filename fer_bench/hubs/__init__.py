"""Sites where others publish models and data: the Hugging Face hub, Kaggle."""
