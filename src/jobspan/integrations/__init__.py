"""What jobspan does beside other libraries: LLM clients, LiteLLM; each only where it is installed."""
