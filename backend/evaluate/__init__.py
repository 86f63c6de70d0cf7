"""How good it is: the judge that ships, its measures, and what it says about pictures, assets and priors."""
