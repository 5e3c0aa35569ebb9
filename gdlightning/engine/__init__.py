"""What happens in an optimizer step: closures, clipping, guards, and the loop over batches."""
