VERBS = {
    "list": list_migrations, "plan": plan, "migrate": migrate, "verify": verify, "fit": fit,
    "collect": collect, "http": check_http,
}

main()
