"""What agents may do, as LangChain tools."""
