//! What the doctor says of traffic, shown with real HAProxy.
