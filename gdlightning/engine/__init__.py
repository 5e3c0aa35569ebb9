"""The optimizer step: closures, clipping, the guard, and the loop over batches."""
