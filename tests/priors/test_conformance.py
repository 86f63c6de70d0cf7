import pytest

from backend.priors.counting import CountingPrior
from backend.priors.diffusers_prior import DiffusersPrior

from .conformance import check_condition_errors, check_prior


@pytest.mark.parametrize("parametrisation", ["epsilon", "v_prediction", "sample"])
def test_the_mixture_is_a_prior(mixture, parametrisation):
    check_prior(mixture(parametrisation), ("a", "b"))


def test_an_eps_model_is_a_prior(prior):
    check_prior(prior, ("a red mug", "blue view"))


def test_a_v_model_with_a_tiny_autoencoder_is_a_prior(velocity_folder):
    check_prior(DiffusersPrior.load(velocity_folder), ("a red mug", "blue view"))


def test_a_counting_prior_is_a_prior(mixture):
    check_prior(CountingPrior(mixture()), ("a", "b"))


def test_a_condition_stands_for_one_row_or_all():
    check_condition_errors()
