//! What the doctor says of names, shown with real HAProxy.
