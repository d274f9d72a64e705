//! What the doctor says of keywords, shown with real HAProxy.
