"""Lightning's loop over batches without what nobody asked for."""
