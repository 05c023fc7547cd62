"""The settings: one validated tree, from TOML, environment and command line.

`settings` is the tree; `loading` reads it.
"""

from streamer.config.alerts import AlertsConfig, RuleConfig, WebhookConfig
from streamer.config.loading import as_toml, build, dump, load
from streamer.config.settings import (
    AsrConfig,
    CaptureConfig,
    Config,
    DashboardConfig,
    FacesConfig,
    IceServer,
    InferenceConfig,
    KafkaConfig,
    LogConfig,
    MetricsConfig,
    RoomConfig,
    SecurityConfig,
    SessionConfig,
    SmoothingConfig,
    SpeechConfig,
    WindowsConfig,
    planned_window_bytes,
    to_ns,
)

__all__ = [
    "AlertsConfig",
    "AsrConfig",
    "CaptureConfig",
    "Config",
    "DashboardConfig",
    "FacesConfig",
    "IceServer",
    "InferenceConfig",
    "KafkaConfig",
    "LogConfig",
    "MetricsConfig",
    "RoomConfig",
    "RuleConfig",
    "SecurityConfig",
    "SessionConfig",
    "SmoothingConfig",
    "SpeechConfig",
    "WebhookConfig",
    "WindowsConfig",
    "as_toml",
    "build",
    "dump",
    "load",
    "planned_window_bytes",
    "to_ns",
]
