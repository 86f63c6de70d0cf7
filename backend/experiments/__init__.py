"""The experiments of the sources, each by its name: a plan, an estimate, runs that resume, a table and a figure."""
