"""Tasks as LightningModules with one ``loss(batch)``."""
