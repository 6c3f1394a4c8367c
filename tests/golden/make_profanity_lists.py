#!/usr/bin/env python3
"""Makes crates/polder-text/lists/profanity_*.txt from the LDNOOBW word lists (CC BY 4.0).

    python3 tests/golden/make_profanity_lists.py FOLDER

FOLDER holds the files of github.com/LDNOOBW/List-of-Dirty-Naughty-Obscene-and-Otherwise-Bad-Words, one a language.
A line of a result is a weight, a tab and a term. Terms in AMBIGUOUS have an innocent use that is common in technical or
everyday text and weigh little; terms in DROPPED have mostly that use, or don't survive splitting into words. English and
German terms that weigh 1 also appear with regular endings, terms of Latin script also without their accents where the list's
users leave them out (German, Spanish, French, Portuguese).
"""

import pathlib
import sys
import unicodedata

AMBIGUOUS_WEIGHT = "0.15"
AMBIGUOUS = {
    "ar": "ثدي حلمة فرج شهوة شاذ مبادل جماع قضيب اغتصاب خنثي احتلام لبوة سحاق لواط بز",
    "cs": "bordel debil držka dršťka flundra čumět žrát kunda srát",
    "da": "anus cock luder pis lort pik",
    "de": """bimbo bratze bonze fick fratze kacke lümmel milf möpse möse mufti muschi nackt neger nippel orgasmus penis pinkeln popel porno
        reudig schabracke schnackeln scheiße vögeln""",
    "en": """anal anus ass bareback bastard bondage boner breasts bullet vibe busty butt camgirl cialis cock cocks coon coons
        cornhole cum darkie date rape deep throat dick domination ecchi ejaculation erotic escort eunuch fecal fingering genitals god damn
        grope guro hand job hooker horny humping incest intercourse kinky lolita male missionary position squirting menage a trois mong negro
        nipple nipples nude nudity orgasm orgy paedophile panties panty pedophile pegging penis pissing poof porno pornography playboy
        pubes rape raping rapist rectum rimming sadism scat schlong semen sex sexual sexually sexuality sexy snatch sodomy snowballing spastic
        spic spunk strap on strip club suck sucks swastika swinger threesome tit topless tosser twink undressing vagina viagra vibrator
        voyeur vulva white power porn nsfw hentai bollocks clitoris masturbation bimbos boob boobs ball sack milf wet dream dildo
        tea bagging smut circlejerk neonazi lovemaking quim tranny towelhead tushy wank""",
    "eo": "diofek kojono bugri",
    "es": """asno bastardo caca culo esperma idiota imbécil maldito marica nazi orina pedo pervertido pezón pinche pis prostituta racista
        ramera sádico semen sexo sexo oral travesti verga vulva mamada coprofagía maciza""",
    "fa": "ارگاسم برهنه پورن پورنو تجاوز سکس سکسی شهوت لخت هرزه لاشی کون کوس جق دودول",
    "fi": "hitto helvetisti kulli kusi mulkku naida narttu panettaa pyllyvako saatanasti piru kusta pillut pentele",
    "fil": "bobo tanga ulol bayag nognog",
    "fr": """baiser bordel bourré bourrée branler caca chatte chier chiottes clitoris conne cul déconner emmerder étron folle foutre gerber
        gueule jouir meuf nègre pédale péter pipi pisser putain salaud tapette ramoner trique zizi merde pute""",
    "hi": "balatkar balatkari bhangi chakke chinki harami hawas hijda hijra kutta kamine kaminey najayaz saala suar tatti",
    "hu": "barmok barmokat barmot barom fing franc francot marha marhák marhákat marhát pofa pofát szar szarik punci búr",
    "it": """anale bastardo battere bordello cacca cesso checca chiappa culo femminuccia finocchio guardone imbecille incazzarsi lecchino
        mannaggia merda palle pirla pipì pisciare porca porco ruffiano sega terrone tette troia vacca frocio figa cornuto""",
    "ja": """アナル エクスタシー エッチ オーガズム オカマ おしっこ おっぱい オッパイ お尻 おもらし コカイン クリトリス サディズム スカトロ
        セックス ソドミー デブ トップレス ヌード ネオ・ナチ バイブレーター パンティー ビッチ フェティッシュ ペニス ボーイズラブ ホモ ポルノ
        ボンテージ ランジェリー レイプ レズビアン ロリータ 陰毛 強姦犯 近親相姦 児童性虐待 性交 生殖器 精液 直腸 乳首 売春婦 糞 糞便 変態
        肛門 膣 裸の女性 獣姦 射精 輪姦 セクシーな 巨乳 女装""",
    "kab": "",
    "ko": "강간 고자 근친 로리타 미친 변태 병신 섹스 야동 에로 염병 창녀 포르노 하드코어 몰카 또라이",
    "nl": """flikker hoer kont kut lul mof pik poep poepen poot rukken snol stront wijf zeiken drol reet pot teef schijt naakt neuken
        godverdomme schoft shit""",
    "no": "dritt faen fanken fitte helvete pikk pokker satan shit skitt jævlig sinnsykt ræva ræven forbannet",
    "pl": "burdel cipa cyc debil dupa dziwka pierdoła rzygać suka syf sraczka duperele dupek",
    "pt": """aborto bastardo bicha bosta cagar caralho cocaína coito comer corno cu fecal foder gozar lolita merda pau paneleiro pênis porra
        puta sacanagem transar vadia vibrador clitoris""",
    "ru": "голый дерьмо жопа мент обнаженный половое сношение секс сиськи срать хрен хохол офигеть фига на фиг svoloch styervo",
    "sv": "fan fitta helvete jävlar kuk neger runka röv satan skita subba tusan för helvete prutt",
    "th": "ตอแหล ตูด มึง แม่ง ส้นตีน กระหรี่ เจ๊ก ขี้",
    "tlh": "",
    "tr": "am çingene göt kaltak sik taşak yarak",
    "zh": """三级片 下贱 乳交 乳头 乳房 交配 包皮 做爱 口交 外阴 她妈的 妓女 妓院 嫖客 嫖娼 射精 卖淫 屁眼 屁股 巨乳 强奸 性交 性器 性无能 性爱
        情色 打炮 月经 淫乱 淫秽 放荡 狗屁 王八蛋 白痴 笨蛋 精子 肛交 色情 荡妇 贱人 轮奸 阳萎 阴唇 阴毛 阴茎 阴道 阴部 龟头 陰莖 处女
        杂种 淫荡 瘪三 十三点 阴户 阴核 阳具 姦""",
}
DROPPED = {
    "ar": "لعق لحس مص كس عرص خول زب شرج",
    "cs": "chuj",
    "da": "",
    "de": "rosette kimme ische schiesser poppen",
    "en": """s&m 🖕 xx hard%core hardcore big%black how%to%kill how%to%murder huge%fat tied%up taste%my tight%white girl%on make%me%come
        jack%off hot%chick jelly%donut skeet poon santorum twinkie tongue%in%a bastardo dvda figging beaver%cleaver style%doggy
        tainted%love mr%hands octopussy prince%albert%piercing g-spot dog%style babeland scissoring throating yaoi xxx barely%legal
        bastinado booty%call barenaked shrimping knobbing strappado nutten sexo male%squirting fuck%buttons pleasure%chest
        chocolate%rosebuds clover%clamps violet%wand baby%juice birdlock suicide%girls lemon%party wrapping%men guro shota hot%carl""",
    "eo": "fik fek kaco kacen zamenfek fekulo",
    "es": "asesinato bollera concha drogas heroína infierno martillo trio chupada chupetón fiesta%de%salchichas haciendo%el%amor",
    "fa": "آب%کیر حشر داف سوپر فیلم%سوپر کس منی لش لاپا کیر",
    "fi": """alfred%nussi haahka hatullinen jätkä molo muna munaton mutiainen paljaalla palli pallit panna pano pantava pehko pipari pistää
        reikä reva tavara toosa tussu tussut viiksi vetää%käteen nainti jutku jutsku lutka lahtari suklaaosasto tuhkaluukku ripsipiirakka
        turpasauna kuppainen persaukinen äpärä reva munapää pillu""",
    "fil": "",
    "fr": "bander bigornette bite bitte bloblos con folle gerbe grande%folle suce tanche trique tringler calice noune osti chiasse",
    "hi": """aand chod chude chut paki pataka maal loda lund kanjar patakha ghassa gashti gasti gucchi gucchu randi chuche mutth hawas tharki
        tharak boobe choope chudaap chutan tatte chinaal raand randaap chuchi choot""",
    "hu": "búr búrok fing pele pelék kúr buksza bukszák bukszákat bukszát barom marha pofa pofákat fingok francok",
    "it": """allupato balle bagnarsi biga bocchino boiata brinca cadavere casci caciocappella ciospo fava fica goldone ingoio loffa lofare mona
        monta montare mussa nave%scuola padulo pesce patacca picio pippa pippone pisello pistolotto pompa potta quaglia recchione regina
        sbattere sbattersi scopare scopata sbrodolata slinguare socmel sorca spagnola sveltina tarzanello tirare topa trombare vangare
        zinne zio%cantante battona bofilo belino pecorina rizzarsi sega porco%due pomiciare""",
    "ja": """3p s%＆%m sm xx いたずら エスコート カント グロ しばり スウィンガー スカートの中 ストリップ劇場 スラット スリット ディック なめ
        ニガー ハードコア パイパン ファンタジー フィスト フック プレイボーイ ベアバック ぽっちゃり やおい ラティーナ ラバー ローター 革抑制 嫌い
        合意の性交 拷問 殺し方 殺人事件 殺人方法 支配 自己愛性 女の子 女王様 女子高生 人種 正常位 挿入 大陰唇 脱衣 剃毛 貞操帯 奴隷 二穴
        覗き 縛り 噴出 平手打ち 毛深い 誘惑 裸 両性 両性具有 両刀 卍 宦官 人妻 プリンス%アルバート%ピアス おしり オシリ 女装 カーマスートラ
        ゲイボーイ エロティズム エロティック アジアのかわいい女の子 足を広げる 新しいポルノ ゴックン バック・スタイル""",
    "kab": "qqu qqan uqan taxna qqiɣ qqant aqerqur",
    "ko": "노모 망가 보지 유모 자지 불알 육갑 애자 야사 호로 후장 거유 스와핑 짱깨% 씹% 니기미%",
    "nl": """aardappels%afgieten achter%het%raam%zitten afberen aflebberen afrossen aftrekken afwerkplaats anita asbak aso balen bekken beurt
        boemelen bedonderen belazeren brugpieper buffelen de%hond%uitlaten de%koffer%induiken del de%pijp%uitgaan dombo eikel gat gedoogzone
        graftak gras%maaien griet hol huisdealer johny kanen klooien knor kwakkie liefdesgrot lummel mafketel matje muts naaien nicht
        oprotten opzouten paal palen penoze pijpen portiekslet raaskallen remsporen reutelen schatje slempen spuiten standje stootje sufferd
        toeter tongzoeng vergallen watje wippen wuftje zaadje zuigen potverdorie tapijtnek een%beurt%geven een%nummertje%maken
        een%wip%maken driehoog%achter%wonen trottoir%prostituée flikken klaarkomen botergeil bagger%schijten een%halve%man%en%een%paardekop
        publiciteitsgeil piesen vleesroos boerenpummel schuinsmarcheerder welzijnsmafia engerd driehoog pot poot drol da's%kloten%van%de%bok
        buiten%de%pot%piesen besodemieterd%zijn temeier triootjeg schoft rukhond hoempert""",
    "no": "fan fan% sinnsykt asshole% kuker",
    "pl": "dmuchać jajco jajko ciota pieprzyć suka",
    "pt": """amador aranha ariano boceta balalao biscate bissexual boob braulio%de%borracha bumbum burro cerveja consolo camisinha chupar cona
        dum%raio frango%assado grelho heterosexual heroína homem%gay homoerótico homosexual inferno lésbica mama passar%um%cheque peidar pinto
        saco torneira veado xana esporra queca foda cu cacete""",
    "ru": """byk gol petuh bychara bugor бугор фига хапать какая%разница другой%дразнится играть%на%кожаной%флейте курите%мою%трубку встать%раком
        лысого%в%кулаке%гонять каждый%дрочит%как%он%хочет ты%мне%ваньку%не%валяй padlo pososi%moyu%konfetku vafl'a perdet pedik otsosi uboy
        po'imat'%na%konchik""",
    "sv": "brutta fan fittig hård moona moonade moonar moonat mutta olla pippa pitt pök stake sås sätta%på arsle skit%ner%dig",
    "th": "กะปิ กู สัด ห่า หี หลั่ง หํา จู๋ เสือก จิ๋ม ล้างตู้เย็น เจี๊ยว กระดอ ไอ้ควาย% มึง ขี้",
    "tlh": "",
    "tr": "am amı amlar sike siki sikin sikte sikten göte yarağa çingene",
    "zh": """13. 13点 个老子的 九游 乳 他奶奶 他娘 他妈 卵 卵子 刚度 口肯 叫床 后庭 吹箫 奶 奶子 奸 幹 性 成人 扒光 打飞机 激情 爛 小肉粒 小鸡鸡
        几八 几叭 几芭 浪叫 淫 老二 老味 老母 私服 祖宗 祖宗% 玉杵 瓜娃子 精子 肉缝 肉壁 肥西 花柳 贝肉 賤 迷药 逼 逼样 野鸡 靠背 靠腰 靠母
        靠爸 鬼公 鸡吧 鸡鸡 尻 鳩 撚 柒 密洞 插你 射你 抽插 招妓 撒尿 日你 机八 机巴 机机歪歪 你是鸡 你是鸭 你全家 你娘 你妈 乳波臀浪 干七八
        想上你 双峰微颤 册那 军妓 十三点 大卵子 小卵子 硬膠 粉腸 笨實 屎忽 你老闆 龟儿子 懒叫 懒教 月经 处女 湿透的内裤 妈的B 干死CS 干死GM""",
}
# Spellings that people use instead.
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
WITHOUT_ACCENTS = ("es", "fr", "pt")


def without_accents(term: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", term) if not unicodedata.combining(c))


def inflected(term: str, language: str) -> set[str]:
    """The regular forms of one word. Forms that no language has do no harm: no text has them either."""
    if " " in term or not term.isalpha() or len(term) < 4:
        return {term}
    if language == "en":
        forms = {term, term + ("es" if term.endswith(("ch", "sh", "ss")) else "" if term.endswith("s") else "s")}
        if len(term) <= 5 and term.endswith(("ck", "nk", "tch", "zz")):
            forms |= {term + ending for ending in ("ed", "er", "ers", "ing", "in")}
        return forms
    forms = {term, term + "n" if term.endswith("e") else term + "s"}
    if term.endswith("er"):
        forms |= {term + ending for ending in ("in", "innen", "n")}
    for ending, plural in (("loch", "löcher"), ("sohn", "söhne"), ("lesbe", "lesben")):
        if term.endswith(ending):
            forms.add(term.removesuffix(ending) + plural)
    return forms


def main() -> None:
    source = pathlib.Path(sys.argv[1])
    target = pathlib.Path(__file__).resolve().parents[2] / "crates/polder-text/lists"
    target.mkdir(parents=True, exist_ok=True)
    for language in AMBIGUOUS:
        ambiguous = " ".join(AMBIGUOUS[language].split())
        dropped = {term.replace("%", " ").strip() for term in DROPPED.get(language, "").split()}
        lines = (source / language).read_text(encoding="utf-8").splitlines()
        if language == "fr":
            lines += (source / "fr-CA-u-sd-caqc").read_text(encoding="utf-8").splitlines()
        terms = {}
        for line in lines:
            term = unicodedata.normalize("NFC", line.strip().lower())
            if not term or term in dropped:
                continue
            ambiguous_here = f" {term} " in f" {ambiguous} "
            forms = inflected(term, language) if language in ("en", "de") and not ambiguous_here else {term}
            if language == "de":
                forms |= {form.translate(UMLAUTS) for form in forms}
            if language in WITHOUT_ACCENTS and len(term) > 4:
                forms |= {without_accents(form) for form in forms}
            for form in forms - dropped:
                terms.setdefault(form, AMBIGUOUS_WEIGHT if ambiguous_here else "1")
        head = [
            "# Made by tests/golden/make_profanity_lists.py; edit the script, not this file.",
            "# From LDNOOBW's List of Dirty, Naughty, Obscene and Otherwise Bad Words, CC BY 4.0, changed; see NOTICE.",
        ]
        body = [f"{weight}\t{term}" for term, weight in sorted(terms.items())]
        (target / f"profanity_{language}.txt").write_text("\n".join(head + body) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
