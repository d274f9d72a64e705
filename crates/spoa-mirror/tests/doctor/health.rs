//! What the doctor says of health checks, shown with real HAProxy.
