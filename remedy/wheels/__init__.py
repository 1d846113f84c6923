"""The wheels that install remedy on hosts without a network: what `make dist` collects."""
