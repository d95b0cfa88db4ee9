"""How every group of settings is read."""

from pydantic_settings import BaseSettings, SettingsConfigDict

WEB_ADDRESS = r"^https?://"


class Group(BaseSettings):
    """Immutable; an empty variable counts as unset, so that `docker-compose.yml` can pass each one on."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # it may be a key
    )
