"""The page in the browser: where a person decides about refunds. Loaded when it is first needed."""
